package sfu

import "testing"

func TestFirstKeyIsTheFilesFirst(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"APIz: s1\nAPIa: s2\nAPIm: s3\n", "APIz"},
		{"# ring\n\n\"APIq\": s\n", "APIq"},
		{"{APIflow: s, APIb: t}", "APIflow"},
		{"", ""},
		{"- APIa: s", ""},
		{"APIa:s", ""},
	} {
		got, err := firstKey([]byte(c.text))
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: %q, %v", c.text, got, err)
		}
	}
}
