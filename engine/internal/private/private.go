// Package private reaches unexported fields of pinned upstreams.
package private

import (
	"reflect"
	"unsafe"
)

// Field returns an unexported field of a pinned upstream's struct, where upstream exports no way to it. owner is a
// pointer to the struct. If the field is renamed or has another type, Field panics: at the start, and in the test that
// the caller names.
func Field[T any](owner any, name string) *T {
	field := reflect.ValueOf(owner).Elem().FieldByName(name)
	if !field.IsValid() || field.Type() != reflect.TypeFor[T]() {
		panic(reflect.TypeOf(owner).String() + " has no field " + name + " of type " + reflect.TypeFor[T]().String())
	}
	return (*T)(unsafe.Pointer(field.UnsafeAddr()))
}
