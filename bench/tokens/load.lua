-- Requests of 2,000 people for 100 rooms, in turn. The API key is the first argument, if any.
dofile("summary.lua")

local count = 0

function init(arguments)
   wrk.method = "POST"
   wrk.headers["Content-Type"] = "application/json"
   if arguments[1] then
      wrk.headers["Authorization"] = "Bearer " .. arguments[1]
   end
   prefix = arguments[2] or "room"
end

function request()
   count = count + 1
   local body = string.format('{"room":"%s-%d","identity":"person-%d"}', prefix, count % 100, count % 2000)
   return wrk.format(nil, nil, nil, body)
end
