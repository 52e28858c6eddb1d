-- Nineteen hits, then one request that passes.
local hit, pass, turn

function init()
   hit, pass, turn = wrk.format("GET", "/1k"), wrk.format("GET", "/pass/1k"), 0
end

function request()
   turn = turn + 1
   return turn % 20 == 0 and pass or hit
end
