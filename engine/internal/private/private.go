// Package private leads to unexported fields of pinned upstreams.
package private

import (
	"reflect"
	"unsafe"
)

// Field leads to an unexported field of a pinned upstream's struct, for what that exports no way to. owner is a
// pointer to the struct. A field that is renamed, or is of another type, panics: at the start, and in the test that the
// caller names.
func Field[T any](owner any, name string) *T {
	field := reflect.ValueOf(owner).Elem().FieldByName(name)
	if !field.IsValid() || field.Type() != reflect.TypeFor[T]() {
		panic(reflect.TypeOf(owner).String() + " has no field " + name + " of type " + reflect.TypeFor[T]().String())
	}
	return (*T)(unsafe.Pointer(field.UnsafeAddr()))
}
