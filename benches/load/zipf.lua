-- Keys by Zipf's law (exponent 1), the same order in every run: rank = N^u for u in [0, 1).
--     wrk -s zipf.lua URL -- KEYS          draws
--     wrk -s zipf.lua URL -- KEYS FIRST    asks for each key in turn, from FIRST on
local requests, turn, first, keys = {}, 0, nil, 100000

function init(args)
   keys = tonumber(args[1]) or keys
   first = tonumber(args[2])
   turn = first or 0
   if first then return end
   math.randomseed(42)
   local made, scale = {}, math.log(keys)
   for i = 1, 200000 do
      local rank = math.floor(math.exp(math.random() * scale))
      made[rank] = made[rank] or wrk.format("GET", "/items/" .. rank)
      requests[i] = made[rank]
   end
end

function request()
   turn = turn + 1
   if first then return wrk.format("GET", "/items/" .. turn % keys) end
   return requests[turn % #requests + 1]
end
