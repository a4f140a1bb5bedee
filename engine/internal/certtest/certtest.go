// Package certtest makes certificates for tests: authorities, the certificates that they sign, and faulty ones.
package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates.
type Authority struct {
	Certificate *x509.Certificate
	key         crypto.Signer
}

// NewAuthority makes an authority that has signed itself.
func NewAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	a := &Authority{key: newKey(t)}
	template := authorityTemplate(name)
	a.Certificate = sign(t, template, template, a.key.Public(), a.key)
	return a
}

// Authority makes an authority that a has signed.
func (a *Authority) Authority(t testing.TB, name string) *Authority {
	t.Helper()
	key := newKey(t)
	return &Authority{sign(t, authorityTemplate(name), a.Certificate, key.Public(), a.key), key}
}

// CrossSign makes another certificate for b's name and key, signed by a.
func (a *Authority) CrossSign(t testing.TB, b *Authority) *x509.Certificate {
	t.Helper()
	return sign(t, authorityTemplate(b.Certificate.Subject.CommonName), a.Certificate, b.key.Public(), a.key)
}

// Issue signs a certificate for names and addresses, valid now unless change says otherwise, and returns it with the
// chain that a server would send after it.
func (a *Authority) Issue(t testing.TB, hosts []string, change func(*x509.Certificate), chain ...*x509.Certificate) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: serial(t), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	if change != nil {
		change(template)
	}
	key := newKey(t)
	leaf := sign(t, template, a.Certificate, key.Public(), a.key)
	issued := tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	for _, certificate := range chain {
		issued.Certificate = append(issued.Certificate, certificate.Raw)
	}
	return issued
}

// IssueFiles writes a certificate for names and addresses and its key, both in PEM.
func (a *Authority) IssueFiles(t testing.TB, certificatePath, keyPath string, hosts ...string) {
	t.Helper()
	issued := a.Issue(t, hosts, nil)
	write(t, certificatePath, "CERTIFICATE", issued.Leaf.Raw)
	writeKey(t, keyPath, issued.PrivateKey)
}

// Write writes a's certificate and key in PEM.
func (a *Authority) Write(t testing.TB, certificatePath, keyPath string) {
	t.Helper()
	write(t, certificatePath, "CERTIFICATE", a.Certificate.Raw)
	writeKey(t, keyPath, a.key)
}

// File writes a's certificate in PEM, and returns its path.
func (a *Authority) File(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "root.crt")
	write(t, path, "CERTIFICATE", a.Certificate.Raw)
	return path
}

// Pool trusts a alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Certificate)
	return pool
}

func writeKey(t testing.TB, path string, key crypto.PrivateKey) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "PRIVATE KEY", der)
}

func write(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Expired makes Issue's certificate expire yesterday.
func Expired(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
}

// Fetchable makes Issue's certificate say where its issuer's certificate can be fetched, as public authorities' do.
func Fetchable(c *x509.Certificate) {
	c.IssuingCertificateURL = []string{"http://issuer.invalid/"}
}

// authorityTemplate is valid for longer than the certificate of an authority that a signs: Caddy's are valid for 7 days.
func authorityTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	number, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		t.Fatal(err)
	}
	return number
}

func sign(t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}
