package edge

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
)

// served is the part of a configuration that says where certificates are.
type served struct {
	Storage struct {
		Root string `json:"root"`
	} `json:"storage"`
	Apps struct {
		Lkhub *App `json:"lkhub"`
		TLS   struct {
			Certificates struct {
				Automate  []string `json:"automate"`
				LoadFiles []struct {
					Certificate string `json:"certificate"`
					Key         string `json:"key"`
				} `json:"load_files"`
			} `json:"certificates"`
			Automation struct {
				Policies []struct {
					Subjects       []string          `json:"subjects"`
					Issuers        []json.RawMessage `json:"issuers"`
					GetCertificate []json.RawMessage `json:"get_certificate"`
				} `json:"policies"`
			} `json:"automation"`
		} `json:"tls"`
	} `json:"apps"`
}

// parseServed reads the part of caddy.json that names certificates. Caddy itself checks the whole file.
func parseServed(config []byte) (served, error) {
	var s served
	err := json.Unmarshal(config, &s)
	return s, err
}

// getRelay is the setting `relay` of the app `lkhub` in a configuration, or nil.
func getRelay(config []byte) (json.RawMessage, error) {
	s, err := parseServed(config)
	if err != nil || s.Apps.Lkhub == nil {
		return nil, err
	}
	return s.Apps.Lkhub.Relay, nil
}

// confine makes sure that Caddy stays within its storage and asks no issuer of its own choice. Outside the storage
// Caddy writes an identifier of the installation (caddy.go, InstanceID), at the place that these variables name.
func (s *served) confine() error {
	switch {
	case s.Apps.Lkhub == nil:
		return errors.New("apps.lkhub is missing, which keeps Caddy from changing this machine's trust stores")
	case s.Storage.Root == "":
		return errors.New("storage.root is missing")
	}
	for _, name := range s.Apps.TLS.Certificates.Automate {
		if !s.hasIssuer(name) {
			return fmt.Errorf("no policy of apps.tls names %s with issuers; Let's Encrypt and ZeroSSL would be asked", name)
		}
	}
	for _, name := range []string{"XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"} {
		if err := os.Setenv(name, s.Storage.Root); err != nil {
			return err
		}
	}
	return nil
}

func (s *served) hasIssuer(name string) bool {
	for _, policy := range s.Apps.TLS.Automation.Policies {
		if len(policy.Issuers) > 0 && slices.Contains(policy.Subjects, name) {
			return true
		}
	}
	return false
}

// names are the names for which Caddy's cache may hold a certificate. A file that is gone since Caddy read it adds
// none.
func (s *served) names() []string {
	names := slices.Clone(s.Apps.TLS.Certificates.Automate)
	for _, files := range s.Apps.TLS.Certificates.LoadFiles {
		if pair, err := tls.LoadX509KeyPair(files.Certificate, files.Key); err == nil {
			names = append(names, namesOf(pair.Leaf)...)
		}
	}
	return names
}

// managed are the names whose certificate is fetched from elsewhere at every handshake.
func (s *served) managed() []string {
	var names []string
	for _, policy := range s.Apps.TLS.Automation.Policies {
		if len(policy.GetCertificate) > 0 {
			names = append(names, policy.Subjects...)
		}
	}
	return names
}
