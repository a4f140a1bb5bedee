package judge

// Code says for programs what is wrong: the text may change, and much of it is upstream's.
type Code string

// Faults of the text.
const (
	Syntax     Code = "syntax"      // no YAML
	UnknownKey Code = "unknown-key" // Known has the keys that exist there
	WrongType  Code = "wrong-type"  // a value that does not have its key's type, or a key that is there twice
	BadValue   Code = "bad-value"   // a value that upstream decodes by its own code: rtc.udp_port, rtc.node_ip
)

// Faults by what the server needs at its start.
const (
	BadPort            Code = "bad-port"
	BadRTC             Code = "bad-rtc" // upstream's own check of rtc
	NoAddress          Code = "no-address"
	BadPacer           Code = "bad-pacer"
	HalfLogin          Code = "half-login" // of Prometheus
	BadWebTransport    Code = "bad-webtransport"
	TCPForcedOff       Code = "tcp-forced-off"
	BadAddresses       Code = "bad-addresses"
	BadNodeSelector    Code = "bad-node-selector"
	BadKeyFile         Code = "bad-key-file"
	NoKeys             Code = "no-keys"
	WeakKey            Code = "weak-key" // also where key and secret look swapped
	NoWebhookKey       Code = "no-webhook-key"
	BadTURNSecret      Code = "bad-turn-secret" // the file of a relay's secret or login
	NoTURNCredentials  Code = "no-turn-credentials"
	NoTURNPort         Code = "no-turn-port"
	NoTURNDomain       Code = "no-turn-domain"
	BadTURNDomain      Code = "bad-turn-domain"
	NoTrustedProxy     Code = "no-trusted-proxy"
	BadTURNCertificate Code = "bad-turn-certificate"
	BadCIDR            Code = "bad-cidr"
	NoNodeIP           Code = "no-node-ip"
)
