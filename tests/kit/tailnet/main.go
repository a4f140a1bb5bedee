// control is a control server that gives out certificates, with DERP and STUN: tailscale.com's own, of its tests.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"
	"time"

	"tailscale.com/derp/derpserver"
	"tailscale.com/net/stunserver"
	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
	"tailscale.com/types/key"
)

func main() {
	ip := flag.String("ip", "198.18.77.1", "")
	cert := flag.String("cert", "ctl.crt", "")
	keyFile := flag.String("key", "ctl.key", "")
	suffix := flag.String("suffix", "tail1234.test", "")
	delay := flag.Duration("dns-delay", 0, "what publishing a DNS record takes")
	flag.Parse()
	const port = 9443
	derp := derpserver.New(key.NewNode(), func(string, ...any) {})
	go func() { log.Fatal(stunserver.New(context.Background()).ListenAndServe(*ip + ":3479")) }()
	control := &testcontrol.Server{
		ExplicitBaseURL:  "https://" + *ip + ":9443",
		MagicDNSDomain:   *suffix,
		AllNodesSameUser: true,
		AllOnline:        true,
		DNSConfig:        &tailcfg.DNSConfig{Proxied: true, Domains: []string{*suffix}},
		OnSetDNS: func(r *tailcfg.SetDNSRequest) error {
			log.Printf("set-dns %s %s %q", r.Name, r.Type, r.Value)
			time.Sleep(*delay)
			return nil
		},
		DERPMap: &tailcfg.DERPMap{OmitDefaultRegions: true, Regions: map[tailcfg.DERPRegionID]*tailcfg.DERPRegion{900: {
			RegionID: 900, RegionCode: "test", Nodes: []*tailcfg.DERPNode{{
				Name: "900a", RegionID: 900, HostName: *ip, IPv4: *ip, IPv6: "none", DERPPort: port, STUNPort: 3479,
			}}}}},
	}
	mux := http.NewServeMux()
	mux.Handle("/derp", derpserver.Handler(derp))
	for _, path := range []string{"/derp/probe", "/derp/latency-check"} {
		mux.HandleFunc(path, func(http.ResponseWriter, *http.Request) {}) // the test server panics at what it does not know
	}
	mux.Handle("/", control)
	log.Fatal(http.ListenAndServeTLS(*ip+":9443", *cert, *keyFile, mux))
}
