package private

import "testing"

func TestPrivateFieldsAreFoundByNameAndType(t *testing.T) {
	owner := &struct{ kept, other int }{kept: 1}
	*Field[int](owner, "kept")++
	if owner.kept != 2 || owner.other != 0 {
		t.Errorf("%+v", owner)
	}
	for name, reach := range map[string]func(){
		"renamed": func() { Field[int](owner, "renamed") },
		"retyped": func() { Field[string](owner, "kept") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a field that was %s is reached", name)
				}
			}()
			reach()
		}()
	}
}
