-- Each key in turn, from FIRST on: what fills a cache.
--     wrk -s each.lua URL -- KEYS FIRST
local keys, turn, before, after

function init(args)
   keys, turn = tonumber(args[1]), tonumber(args[2])
   before, after = wrk.format("GET", "/items/@"):match("^(.*)@(.*)$")
end

function request()
   turn = turn + 1
   return before .. turn % keys .. after
end
