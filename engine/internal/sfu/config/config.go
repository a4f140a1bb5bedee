// Package config is livekit.yaml as livekit-server reads it, with what the server asks of it before it starts.
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

// Server is what a livekit.yaml says.
type Server = config.Config

// What the server asks at its start.
var (
	CreateNodeSelector = selector.CreateNodeSelector
	IsValidDomain      = service.IsValidDomain
)

// WebTransportTLS says what keeps the server from listening for WebTransport.
func WebTransportTLS(conf *Server) error {
	_, err := service.WebTransportTLS(conf.WebTransport.TLSCertFile, conf.WebTransport.TLSKeyFile, conf.Development)
	return err
}

// DecodeStrict decodes text over the defaults, with unknown keys as errors, as config.NewConfig does. Unlike that,
// it keeps the decoder's error with all its lines, and it neither validates nor asks a STUN server for an address.
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
