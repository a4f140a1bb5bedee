package judge

import (
	"fmt"

	"gopkg.in/yaml.v3"
)

// lookup finds the value at a path of keys, or nil.
func lookup(node *yaml.Node, path ...string) *yaml.Node {
	for _, key := range path {
		if node == nil || node.Kind != yaml.MappingNode {
			return nil
		}
		var value *yaml.Node
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == key {
				value = node.Content[i+1]
			}
		}
		node = value
	}
	return node
}

// at makes a message about a node; nil stands for something that is not in the file.
func at(node *yaml.Node, code Code, format string, args ...any) Message {
	m := Message{Code: code, Text: fmt.Sprintf(format, args...)}
	if node != nil {
		m.Line = &node.Line
	}
	return m
}
