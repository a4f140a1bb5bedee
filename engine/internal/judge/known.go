package judge

import (
	"reflect"
	"slices"
	"strings"

	"lkhub/engine/internal/sfu/config"
)

// knownKeys are the keys of each part of livekit.yaml, sorted, by the name of its type in Go.
var knownKeys = collectKeys(reflect.TypeFor[config.Server](), map[string][]string{})

func collectKeys(t reflect.Type, into map[string][]string) map[string][]string {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return collectKeys(t.Elem(), into)
	case reflect.Struct:
	default:
		return into
	}
	if _, done := into[t.String()]; done {
		return into
	}
	into[t.String()] = nil
	var keys []string
	for field := range fieldsOf(t) {
		name, inline := keyOf(field)
		collectKeys(field.Type, into)
		switch {
		case inline:
			keys = append(keys, into[field.Type.String()]...)
		case name != "-":
			keys = append(keys, name)
		}
	}
	slices.Sort(keys)
	into[t.String()] = keys
	return into
}

func fieldsOf(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if field := t.Field(i); field.IsExported() && !yield(field) {
				return
			}
		}
	}
}

// keyOf reads a field's tag as yaml.v3 does (yaml.go, getStructInfo).
func keyOf(field reflect.StructField) (name string, inline bool) {
	tag := field.Tag.Get("yaml")
	if tag == "" && !strings.Contains(string(field.Tag), ":") {
		tag = string(field.Tag)
	}
	name, options, _ := strings.Cut(tag, ",")
	if name == "" {
		name = strings.ToLower(field.Name)
	}
	return name, slices.Contains(strings.Split(options, ","), "inline")
}
