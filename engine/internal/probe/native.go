package probe

import (
	"crypto/x509"
	_ "embed"
	"errors"
	"net"
	"sync"
	"time"
)

//go:embed libwebrtc_roots.pem
var libwebrtcRootsPEM []byte

// libwebrtcRoots are the roots that libwebrtc trusts; it uses no store of the system (rtc_base/openssl_adapter.cc).
var libwebrtcRoots = sync.OnceValue(func() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(libwebrtcRootsPEM)
	return roots
})

const (
	nativeClients = "libwebrtc clients (the SDKs for Python, Rust, C++, Unity, Swift, Kotlin, Flutter, and agents)"
	// What a reader can do about it. Let's Encrypt, and therefore Tailscale, is the usual case.
	nativeAdvice = "behind a firewall that lets TLS alone through they get no media. " +
		"Certificates of ZeroSSL, Sectigo, Google Trust Services, DigiCert and GlobalSign reach a root that they know"
)

// judgeNative says whether libwebrtc would accept a TURN server's chain as it was presented, and why. The signatures of
// the roots decide, so a cross-signed root counts if any of its paths leads to one of them.
func judgeNative(chain []*x509.Certificate, host string, now time.Time, roots *x509.CertPool) (bool, string) {
	refused := nativeClients + " refuse it: "
	options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: now}
	for _, certificate := range chain[1:] {
		options.Intermediates.AddCert(certificate)
	}
	paths, err := chain[0].Verify(options)
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &unknown):
		return false, refused + "it was issued by " + nameOf(chain[0].Issuer) + ", which leads to none of the roots built into them; " + nativeAdvice
	case err != nil:
		return false, refused + explainCertificate(err, chain, host, now).detail
	}
	// X509_check_host, which libwebrtc calls, checks DNS names only (rtc_base/openssl_utility.cc).
	if net.ParseIP(host) != nil {
		return false, refused + "they compare the server's host with the DNS names of its certificate alone, and " + host + " is an address; name the TURN server by a domain"
	}
	if err := chain[0].VerifyHostname(host); err != nil {
		return false, refused + explainCertificate(err, chain, host, now).detail
	}
	root := paths[0][len(paths[0])-1]
	return true, nativeClients + " accept it: it was issued by " + nameOf(chain[0].Issuer) + " and leads to " + nameOf(root.Subject)
}
