package judge

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/mitchellh/go-homedir"
	"gopkg.in/yaml.v3"

	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/input"
	"lkhub/engine/internal/keyring"
	"lkhub/engine/internal/sfu/config"
)

// minSecret is the length that LiveKit calls safe. It logs a shorter secret as an error and starts.
const minSecret = 32

func judgeKeys(conf *config.Server, root *yaml.Node) Messages {
	var found Messages
	source, where := lookup(root, "keys"), "keys"
	if conf.KeyFile != "" {
		source = lookup(root, "key_file")
		var err error
		if conf.KeyFile, err = homedir.Expand(os.ExpandEnv(conf.KeyFile)); err == nil {
			conf.Keys, err = readKeys(conf.KeyFile)
		}
		if err != nil {
			m := at(source, BadKeyFile, "key_file: %s", failure.Redact(err.Error()))
			m.cause = err
			return Messages{m}
		}
		where = "key file " + conf.KeyFile
	}
	// If there are keys that were not decoded, the parser has already reported them.
	empty := source == nil || len(source.Content) == 0 && source.Value == ""
	if len(conf.Keys) == 0 && (empty || conf.KeyFile != "") && !conf.Development {
		found = append(found, at(source, NoKeys, "one of key-file or keys must be provided; the form is `keys: {APIkey: secret}`"))
	}
	if !conf.Development {
		for _, key := range slices.Sorted(maps.Keys(conf.Keys)) {
			if problem := shortSecret(key, conf.Keys[key]); problem != "" {
				node := lookup(source, key)
				if node == nil {
					node = source
				}
				found = append(found, at(node, WeakKey, "%s: %s", where, problem))
			}
		}
	}
	if len(conf.WebHook.URLs) > 0 && conf.Keys[conf.WebHook.APIKey] == "" {
		found = append(found, at(lookup(root, "webhook"), NoWebhookKey, "api_key is required to use webhooks, and must be one of the keys"))
	}
	return found
}

// shortSecret quotes neither the key nor the secret, as the two may be swapped.
func shortSecret(key, secret string) string {
	switch {
	case len(secret) >= minSecret, keyring.IsDev(key, secret):
		return ""
	case len(key) >= minSecret:
		return "key and secret look swapped; the form is `APIkey: secret`"
	case secret == "":
		return "a secret is empty; the form is `APIkey: secret`, with a space after the colon"
	default:
		return fmt.Sprintf("a secret is too short: %d characters, should be at least %d for security", len(secret), minSecret)
	}
}

func readKeys(path string) (map[string]string, error) {
	if err := input.CheckPrivate(path); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	keys := map[string]string{}
	if err := yaml.Unmarshal(text, keys); err != nil {
		return nil, fmt.Errorf("%s: %s; the form is `APIkey: secret`, one to a line", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return keys, nil
}
