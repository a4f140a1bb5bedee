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

// libwebrtcRoots are what libwebrtc knows; it asks no store of the system's (rtc_base/openssl_adapter.cc).
var libwebrtcRoots = sync.OnceValue(func() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(libwebrtcRootsPEM)
	return roots
})

const (
	nativeClients = "libwebrtc clients (the SDKs for Python, Rust, C++, Unity, Swift, Kotlin, Flutter, and agents)"
	// What a reader can do about it. Let's Encrypt, and so Tailscale, is the usual case.
	nativeWayOut = "behind a firewall that lets TLS alone through they get no media. " +
		"Certificates of ZeroSSL, Sectigo, Google Trust Services, DigiCert and GlobalSign reach a root that they know"
)

// judgeNative says whether libwebrtc would accept a TURN server's chain, as it was presented, and why. With the roots
// themselves at hand a signature decides, so that a cross-signed root counts by whichever of its paths leads to one.
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
		return false, refused + "it was issued by " + nameOf(chain[0].Issuer) + ", which leads to none of the roots built into them; " + nativeWayOut
	case err != nil:
		return false, refused + explainCertificate(err, chain, host, now).detail
	}
	// X509_check_host, which libwebrtc calls, looks at DNS names alone (rtc_base/openssl_utility.cc).
	if net.ParseIP(host) != nil {
		return false, refused + "they compare the server's host with the DNS names of its certificate alone, and " + host + " is an address; name the TURN server by a domain"
	}
	if err := chain[0].VerifyHostname(host); err != nil {
		return false, refused + explainCertificate(err, chain, host, now).detail
	}
	root := paths[0][len(paths[0])-1]
	return true, nativeClients + " accept it: it was issued by " + nameOf(chain[0].Issuer) + " and leads to " + nameOf(root.Subject)
}
