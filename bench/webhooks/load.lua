-- Webhooks that were signed before, each once. The first argument is the file: a token and a body in each line.
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

function done(summary, latency)
   io.write(string.format(
      '\n{"requests": %d, "seconds": %f, "errors": %d, "p50_ms": %f, "p99_ms": %f}\n',
      summary.requests, summary.duration / 1e6, summary.errors.status + summary.errors.connect + summary.errors.read +
      summary.errors.write + summary.errors.timeout, latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
