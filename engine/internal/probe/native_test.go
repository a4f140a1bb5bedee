package probe

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"lkhub/engine/internal/certtest"
)

const turnHost = "turn.example.com"

func presented(t *testing.T, c tls.Certificate) []*x509.Certificate {
	t.Helper()
	var chain []*x509.Certificate
	for _, der := range c.Certificate {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, certificate)
	}
	return chain
}

func TestJudgeNative(t *testing.T) {
	known, unknown := certtest.NewAuthority(t, "Known Root"), certtest.NewAuthority(t, "Unknown Root")
	namesake := certtest.NewAuthority(t, "Known Root")
	below, elsewhere := known.Authority(t, "Known Issuer"), unknown.Authority(t, "Unknown Issuer")
	roots := x509.NewCertPool()
	roots.AddCert(known.Certificate)
	host := []string{turnHost}
	for _, c := range []struct {
		name    string
		host    string
		present tls.Certificate
		want    bool
		says    string
	}{
		{"known", turnHost, below.Issue(t, host, nil, below.Certificate), true, "issued by Known Issuer and leads to Known Root"},
		{"known, with its root", turnHost, below.Issue(t, host, nil, below.Certificate, known.Certificate), true, "leads to Known Root"},
		{"by the root itself", turnHost, known.Issue(t, host, nil), true, "issued by Known Root"},
		{"a wildcard", turnHost, below.Issue(t, []string{"*.example.com"}, nil, below.Certificate), true, ""},
		{"an unknown root that a known one signed", turnHost,
			elsewhere.Issue(t, host, nil, elsewhere.Certificate, known.CrossSign(t, unknown)), true, "leads to Known Root"},
		{"a known root that an unknown one signed", turnHost,
			below.Issue(t, host, nil, below.Certificate, unknown.CrossSign(t, known)), true, "leads to Known Root"},
		{"both roots' signatures, the unknown one first", turnHost,
			elsewhere.Issue(t, host, nil, elsewhere.Certificate, unknown.Certificate, known.CrossSign(t, unknown)), true, "leads to Known Root"},
		{"unknown", turnHost, elsewhere.Issue(t, host, nil, elsewhere.Certificate, unknown.Certificate), false, "issued by Unknown Issuer, which leads to none"},
		{"another authority of a known name", turnHost, namesake.Issue(t, host, nil, namesake.Certificate), false, "leads to none"},
		{"without its issuer", turnHost, below.Issue(t, host, nil), false, "leads to none"},
		{"expired", turnHost, below.Issue(t, host, certtest.Expired, below.Certificate), false, "it expired on"},
		{"another name", "hub.example.com", below.Issue(t, host, nil, below.Certificate), false, "it is for turn.example.com, not for hub.example.com"},
		{"an address", "192.0.2.1", below.Issue(t, []string{"192.0.2.1"}, nil, below.Certificate), false, "192.0.2.1 is an address"},
		{"an IPv6 address", "2001:db8::1", below.Issue(t, []string{"2001:db8::1"}, nil, below.Certificate), false, "is an address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, detail := judgeNative(presented(t, c.present), c.host, time.Now(), roots)
			if got != c.want || !strings.Contains(detail, c.says) {
				t.Errorf("%v, %s", got, detail)
			}
		})
	}
}

func TestLibwebrtcRoots(t *testing.T) {
	rest, text := libwebrtcRootsPEM, string(libwebrtcRootsPEM)
	count := 0
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		count++
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(block.Bytes)
		if heading := hex.EncodeToString(sum[:]) + "\n" + root.NotAfter.Format(time.DateOnly) + " " + root.Subject.String() + "\n"; !strings.Contains(text, heading) {
			t.Errorf("no heading:\n%s", heading)
		}
		if strings.Contains(root.Subject.String(), "ISRG") {
			t.Errorf("%s is known now: what is said about Let's Encrypt no longer holds", root.Subject)
		}
	}
	if count != 21 {
		t.Errorf("%d roots", count)
	}
}
