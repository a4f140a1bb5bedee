// Package edge runs Caddy with caddy-l4 inside this process, and adds what the hub's edge needs beyond them. Caddy
// keeps its state in package variables, so a process can have one edge.
package edge

// Caddy's modules register themselves when they are imported. These are the modules that lkhub renders.
// modules/standard would add template engines, a file server that needs one, and tracing, and their memory.
import (
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp"               // server, matchers, static_response, subroute
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/encode"        // compresses a site's files that have no smaller form
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/encode/gzip"   // for clients of any age
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/encode/zstd"   // for new ones
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"       // strips and sets headers
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/proxyprotocol" // a proxy before the hub may speak it (tls.mode external)
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/requestbody"   // limits bodies
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
	_ "github.com/caddyserver/caddy/v2/modules/caddypki"    // the hub's own CA (tls.mode internal)
	_ "github.com/caddyserver/caddy/v2/modules/caddytls"    // certificates from files, ACME, own CA, tailscaled
	_ "github.com/caddyserver/caddy/v2/modules/filestorage" // all state in one directory
	_ "github.com/caddyserver/caddy/v2/modules/logging"     // filter encoder
	_ "github.com/mholt/caddy-l4/layer4"
	_ "github.com/mholt/caddy-l4/modules/l4proxyprotocol" // TURN/TLS behind a proxy that splits by name
	_ "github.com/mholt/caddy-l4/modules/l4regexp"
	_ "github.com/mholt/caddy-l4/modules/l4subroute"
	_ "github.com/mholt/caddy-l4/modules/l4tls"
)
