package sfu

import (
	"fmt"
	"os"

	"gopkg.in/yaml.v3"

	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/sfu/config"
)

// currentKey is the API key to sign with: the first in the order of the key file, which a decoded map does not keep.
// Keys in livekit.yaml itself come from hand-written files and have no order, so any of them signs.
func currentKey(conf *config.Server) (string, error) {
	if conf.KeyFile == "" {
		for key := range conf.Keys {
			return key, nil
		}
	}
	text, err := os.ReadFile(conf.KeyFile)
	if err != nil {
		return "", err
	}
	key, err := firstKey(text)
	if err != nil {
		return "", failure.Config("key file %s: %v", conf.KeyFile, err)
	}
	return key, nil
}

func firstKey(text []byte) (string, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return "", err
	}
	if len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode || len(document.Content[0].Content) == 0 {
		return "", fmt.Errorf("it holds no key; the form is `APIkey: secret`, one to a line")
	}
	return document.Content[0].Content[0].Value, nil
}
