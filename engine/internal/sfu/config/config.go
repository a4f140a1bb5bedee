// Package config reads livekit.yaml as livekit-server does, and has the checks that the server makes before it starts.
package config

import (
	"errors"
	"io"
	"strings"

	"github.com/livekit/livekit-server/pkg/config"
	"github.com/livekit/livekit-server/pkg/routing/selector"
	"github.com/livekit/livekit-server/pkg/service"
	"gopkg.in/yaml.v3"
)

// Server is the content of a livekit.yaml.
type Server = config.Config

// The errors of the server's checks at its start.
var (
	CreateNodeSelector = selector.CreateNodeSelector
	IsValidDomain      = service.IsValidDomain
)

// WebTransportTLS says why the server can't listen for WebTransport.
func WebTransportTLS(conf *Server) error {
	_, err := service.WebTransportTLS(conf.WebTransport.TLSCertFile, conf.WebTransport.TLSKeyFile, conf.Development)
	return err
}

// DecodeStrict decodes text over the defaults, and unknown keys are errors, as with config.NewConfig. Unlike NewConfig,
// it keeps all lines of the decoder's error. It does not validate, and it does not ask a STUN server for an address.
func DecodeStrict(text string) (*Server, error) {
	defaults, err := yaml.Marshal(&config.DefaultConfig)
	if err != nil {
		return nil, err
	}
	var conf Server
	if err := yaml.Unmarshal(defaults, &conf); err != nil {
		return nil, err
	}
	decoder := yaml.NewDecoder(strings.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&conf); err != nil && !errors.Is(err, io.EOF) {
		return &conf, err
	}
	return &conf, nil
}
