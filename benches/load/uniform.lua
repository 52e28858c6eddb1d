-- Keys at random, each as likely as any other, the same order in every run. A request is two strings with a number in between: wrk.format would cost as
-- much as the rest of it.
--     wrk -s uniform.lua URL -- KEYS
local keys, before, after

function init(args)
   math.randomseed(42)
   keys = tonumber(args[1])
   before, after = wrk.format("GET", "/items/@"):match("^(.*)@(.*)$")
end

function request()
   return before .. math.random(0, keys - 1) .. after
end
