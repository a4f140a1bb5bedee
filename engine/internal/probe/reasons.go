package probe

// Reason says for programs why a path stopped: what was seen, not what follows from it. A stage has several reasons.
// lkhub/checks/causes*.py knows the possible causes of each, and docs/reference/json.md refers to this list.
type Reason string

// Reasons about names and connections, to the server or to a TURN server.
const (
	NameUnknown    Reason = "name-unknown"    // no such name, or it has no address
	LookUpSilent   Reason = "look-up-silent"  // no name server answered in time
	LookUpFailed   Reason = "look-up-failed"  // a name server could not say, or there is none
	Refused        Reason = "refused"         // the machine is there, and nothing listens on the port
	Silent         Reason = "silent"          // no answer at all
	Unreachable    Reason = "unreachable"     // a router says that there is no route
	NoIPv6         Reason = "no-ipv6"         // this machine has only IPv4
	ConnectFailed  Reason = "connect-failed"  // any other error
	NotTLS         Reason = "not-tls"         // the port answers, without TLS
	TLSSilent      Reason = "tls-silent"      // the port is open, and nothing answers the handshake
	TLSClosed      Reason = "tls-closed"      // closed during the handshake, without a reason
	TLSAlert       Reason = "tls-alert"       // closed with a reason; evidence: alert
	Expired        Reason = "expired"         // the certificate, or its issuer's
	NotYetValid    Reason = "not-yet-valid"   // the certificate, by this machine's clock
	WrongName      Reason = "wrong-name"      // evidence: names, host
	SelfSigned     Reason = "self-signed"     //
	ChainGap       Reason = "chain-gap"       // the issuer's certificate is not sent; evidence: issuer
	UnknownIssuer  Reason = "unknown-issuer"  // the chain is whole and leads to a root that is not trusted here; evidence: issuer
	BadCertificate Reason = "bad-certificate" // any other fault
)

// Reasons about HTTP: what answered instead of LiveKit. Evidence: status.
const (
	NotLiveKit      Reason = "not-livekit"       // another server answers 200
	NotFound        Reason = "not-found"         // 404, without LiveKit's text
	Redirect        Reason = "redirect"          // evidence: location (without its query)
	ToTLS           Reason = "to-tls"            // a redirect to the same host with TLS; evidence: location
	Login           Reason = "login"             // a login before LiveKit
	Gateway         Reason = "gateway"           // 502, 503, 504: a proxy does not reach the server behind it
	Forbidden       Reason = "forbidden"         // 403, without the hub's or LiveKit's text
	WantsTLS        Reason = "wants-tls"         // the port speaks TLS
	HTTPSilent      Reason = "http-silent"       // no answer
	HTTPClosed      Reason = "http-closed"       // closed without an answer
	HTTPFailed      Reason = "http-failed"       // any other error
	HubWrongHost    Reason = "hub-wrong-host"    // a hub's own refusal: another Host than its name
	HubNotTrusted   Reason = "hub-not-trusted"   // a hub's own refusal: not from its proxy
	HubWithoutMedia Reason = "hub-without-media" // a hub's web application answers where signalling should be
	HubMediaDown    Reason = "hub-media-down"    // a hub's edge answers, and the server behind it does not
)

// Reasons about the token.
const (
	UnknownKey     Reason = "unknown-key"     // evidence: key
	BadSignature   Reason = "bad-signature"   // the server knows the key, with another secret
	TokenExpired   Reason = "token-expired"   //
	TokenTooEarly  Reason = "token-too-early" // by the server's clock
	TokenMalformed Reason = "token-malformed" //
	NoIdentity     Reason = "no-identity"     //
	NoGrant        Reason = "no-grant"        // the token does not allow it
	NoRoom         Reason = "no-room"         // the room does not exist, and none is made
	RoomFull       Reason = "room-full"       //
	LimitReached   Reason = "limit-reached"   // of the server
	TokenMismatch  Reason = "token-mismatch"  // the two tokens do not belong together
	TokenRefused   Reason = "token-refused"   // any other refusal
)

// Reasons about the join.
const (
	NotUpgraded   Reason = "not-upgraded"   // HTTP works, and the WebSocket is answered as plain HTTP; evidence: status
	JoinRefused   Reason = "join-refused"   // LiveKit took the WebSocket's request, and failed at it; evidence: status
	SignalSilent  Reason = "signal-silent"  // no answer in time
	SignalEnded   Reason = "signal-ended"   // the connection broke
	SessionEnded  Reason = "session-ended"  // the server ended the session
	NoDescription Reason = "no-description" //
	NoCandidate   Reason = "no-candidate"   //
	NotOffered    Reason = "not-offered"    // other paths are offered, or may be
	JoinFailed    Reason = "join-failed"    // any other error
)

// Reasons about media. Evidence: remote and local, where packets were sent to and from.
const (
	LoopbackTold   Reason = "loopback-told"    // clients are told the server's own loopback address
	NoOwnAddress   Reason = "no-own-address"   // this machine has no address for the path
	TURNSilent     Reason = "turn-silent"      // no answer from the TURN server
	TURNLogin      Reason = "turn-login"       // it refuses name and password
	TURNRefused    Reason = "turn-refused"     // it gives no relay address, for another reason
	TURNForbids    Reason = "turn-forbids"     // it gives one, and refuses to send to media's address
	TURNIsWeb      Reason = "turn-is-web"      // a web server answers there
	NoReply        Reason = "no-reply"         // nothing came back
	ServerFirst    Reason = "server-first"     // nothing came back before the server had sent by itself
	DTLSUnfinished Reason = "dtls-unfinished"  //
	NotAccepted    Reason = "not-accepted"     // the server did not take the publisher's track
	NothingHeard   Reason = "nothing-heard"    // connected, and no packet came through
	NoPicture      Reason = "no-picture"       // sound comes through, packets of a picture's size don't
	TooLossy       Reason = "too-lossy"        // a quarter of all packets, or more, is lost
	SessionLost    Reason = "session-lost"     // a session ended while media was waited for
	NeedsAnother   Reason = "needs-subscriber" // with only one token: everything but media
	Interrupted    Reason = "interrupted"      //
)
