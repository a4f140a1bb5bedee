-- Webhooks that were signed before, each once. The first argument is the file: a token and a body in each line.
dofile("summary.lua")

local count = 0
local events = {}

function init(arguments)
   wrk.method = "POST"
   wrk.headers["Content-Type"] = "application/webhook+json"
   for line in io.lines(arguments[1]) do
      local token, body = line:match("^(%S+) (.*)$")
      events[#events + 1] = wrk.format(nil, nil, { Authorization = token, ["Content-Type"] = "application/webhook+json" }, body)
   end
end

function request()
   count = count + 1
   return events[(count - 1) % #events + 1]
end
