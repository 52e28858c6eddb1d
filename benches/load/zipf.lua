-- Keys by Zipf's law (exponent 1), the same order in every run: rank = N^u for u in [0, 1).
--     wrk -s zipf.lua URL -- KEYS
local requests, turn = {}, 0

function init(args)
   math.randomseed(42)
   local made, scale = {}, math.log(tonumber(args[1]))
   for i = 1, 200000 do
      local rank = math.floor(math.exp(math.random() * scale))
      made[rank] = made[rank] or wrk.format("GET", "/items/" .. rank)
      requests[i] = made[rank]
   end
end

function request()
   turn = turn + 1
   return requests[turn % #requests + 1]
end
