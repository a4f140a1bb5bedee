package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// handshake speaks TLS to a host over a connection, which it doesn't close on an error.
func (w access) handshake(ctx context.Context, conn net.Conn, host string, protocols ...string) (*tls.Conn, error) {
	encrypted := tls.Client(conn, w.tlsConfig(host, protocols...))
	return encrypted, encrypted.HandshakeContext(ctx)
}

func (w access) tlsConfig(host string, protocols ...string) *tls.Config {
	return &tls.Config{ServerName: host, RootCAs: w.roots, NextProtos: protocols}
}

// explainTLS says why a handshake failed, with the server's address as its subject.
func explainTLS(address string, err error, host string, now time.Time) *fault {
	f := func(reason Reason, format string, args ...any) *fault {
		return failed(StageTLS, reason, address+" "+format, args...).with("address", address)
	}
	var plain tls.RecordHeaderError
	var unverified *tls.CertificateVerificationError
	var alert tls.AlertError
	switch {
	case errors.As(err, &plain):
		return f(NotTLS, "doesn't speak TLS")
	case errors.As(err, &unverified):
		found := explainCertificate(unverified.Err, unverified.UnverifiedCertificates, host, now)
		found.detail = address + " has a certificate that this machine refuses: " + found.detail
		return found.with("address", address)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return f(TLSSilent, "did not answer the TLS handshake")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return f(TLSClosed, "closed the connection during the TLS handshake")
	case errors.As(err, &alert):
		return f(TLSAlert, "refused the TLS handshake: %v", err).with("alert", alert.Error())
	default:
		return f(TLSAlert, "refused the TLS handshake: %v", err)
	}
}

// explainCertificate says what is wrong with a presented chain, which has at least one certificate.
func explainCertificate(err error, chain []*x509.Certificate, host string, now time.Time) *fault {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return explainDates(invalid.Cert, now)
	case errors.As(err, &name):
		names := namesOf(chain[0])
		return failed(StageTLS, WrongName, "it is for %s, not for %s", names, host).with("names", names).with("host", host)
	case errors.As(err, &unknown):
		return explainIssuer(chain, now)
	default:
		return failed(StageTLS, BadCertificate, "%v", err)
	}
}

func explainDates(certificate *x509.Certificate, now time.Time) *fault {
	what := "it"
	if certificate.IsCA {
		what = "its issuer " + nameOf(certificate.Subject)
	}
	if now.Before(certificate.NotBefore) {
		return failed(StageTLS, NotYetValid, "%s is not valid before %s, and here it is %s", what, day(certificate.NotBefore), day(now))
	}
	return failed(StageTLS, Expired, "%s expired on %s", what, day(certificate.NotAfter))
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// explainIssuer tells an unknown authority from a chain with a gap. If a certificate says where its issuer's
// certificate can be fetched, there is an issuer between it and the root, and clients don't fetch that certificate.
func explainIssuer(chain []*x509.Certificate, now time.Time) *fault {
	for _, certificate := range chain {
		if now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) {
			return explainDates(certificate, now)
		}
	}
	switch last := lastOf(chain); {
	case last == chain[0] && string(last.RawIssuer) == string(last.RawSubject):
		return failed(StageTLS, SelfSigned, "it is signed by itself alone")
	case last == chain[0] && len(last.IssuingCertificateURL) > 0:
		return failed(StageTLS, ChainGap, "the chain is incomplete: the server doesn't send the certificate of its issuer %s", nameOf(last.Issuer)).
			with("issuer", nameOf(last.Issuer))
	default:
		return failed(StageTLS, UnknownIssuer, "it leads to %s, an authority that is unknown here", nameOf(last.Issuer)).
			with("issuer", nameOf(last.Issuer)).with("sent", strconv.Itoa(len(chain)))
	}
}

// lastOf follows a presented chain from its leaf as far as it goes, in whatever order the certificates came.
func lastOf(chain []*x509.Certificate) *x509.Certificate {
	last := chain[0]
	for range chain {
		next := slices.IndexFunc(chain, func(c *x509.Certificate) bool {
			return c != last && string(c.RawSubject) == string(last.RawIssuer) && last.CheckSignatureFrom(c) == nil
		})
		if next < 0 {
			break
		}
		last = chain[next]
	}
	return last
}

func namesOf(certificate *x509.Certificate) string {
	names := slices.Clone(certificate.DNSNames)
	for _, ip := range certificate.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no name at all"
	}
	return list(names)
}

// nameOf is what people call an authority. Some authorities do not put what tells their roots apart into the common
// name.
func nameOf(name pkix.Name) string {
	parts := []string{}
	for _, part := range append([]string{name.CommonName}, append(name.OrganizationalUnit, name.Organization...)...) {
		if part != "" && !slices.Contains(parts, part) && len(parts) < 2 {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return "a nameless issuer"
	}
	return strings.Join(parts, ", ")
}
