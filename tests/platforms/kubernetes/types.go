package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"sort"
	"strings"

	extensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	extensionserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/component-base/version"
	aggregatorscheme "k8s.io/kube-aggregator/pkg/apiserver/scheme"
	openapi "k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/controlplane"
	generated "k8s.io/kubernetes/pkg/generated/openapi"
)

// Types of fields that are written by other rules than those of Go's JSON, by what the table calls them.
var scalars = map[reflect.Type]string{
	reflect.TypeFor[resource.Quantity]():    "quantity",
	reflect.TypeFor[intstr.IntOrString]():   "int|text",
	reflect.TypeFor[meta.Time]():            "time",
	reflect.TypeFor[meta.MicroTime]():       "time",
	reflect.TypeFor[meta.Duration]():        "text",
	reflect.TypeFor[meta.FieldsV1]():        "json",
	reflect.TypeFor[runtime.RawExtension](): "json",
	reflect.TypeFor[extensions.JSON]():      "json",
}

// Types whose JSON is that of another type, or a scalar.
var transparent = map[reflect.Type]reflect.Type{
	reflect.TypeFor[extensions.JSONSchemaPropsOrBool]():        reflect.TypeFor[extensions.JSONSchemaProps](),
	reflect.TypeFor[extensions.JSONSchemaPropsOrArray]():       reflect.TypeFor[extensions.JSONSchemaProps](),
	reflect.TypeFor[extensions.JSONSchemaPropsOrStringArray](): reflect.TypeFor[extensions.JSONSchemaProps](),
}

// Groups of questions: the server stores none of their objects.
var questions = []string{"authentication.k8s.io", "authorization.k8s.io"}

// Kinds that are parts of requests, or that the server makes itself.
var parts = []string{"Binding", "ComponentStatus", "PodStatusResult", "RangeAllocation", "Scale", "SerializedReference", "Eviction", "VolumeAttachment"}

type field struct {
	name, kind string
	// The server drops the zero value of it: `omitempty`, and no pointer.
	dropped bool
	// The values that the server fills in, with the places where it does.
	defaults map[string][]string
	// The index of the field in Go's type, through embedded types.
	index  []int
	goType reflect.Type
	// The amounts in it are rounded up to thousandths.
	rounded bool
}

type structure struct {
	atomic bool
	fields []*field
}

// A graph of the API's types. Its text is the table of the Kubernetes driver.
type graph struct {
	definitions map[string]openapi.OpenAPIDefinition
	types       map[reflect.Type]*structure
	kinds       map[string]reflect.Type
	// Where each type is found, and how often.
	seen map[reflect.Type]int
}

// Prints the types of the kinds that this version of Kubernetes serves.
func types() error {
	g := graph{
		definitions: generated.GetOpenAPIDefinitions(func(name string) spec.Ref { return spec.MustCreateRef(name) }),
		types:       map[reflect.Type]*structure{},
		kinds:       map[string]reflect.Type{},
		seen:        map[reflect.Type]int{},
	}
	served := controlplane.DefaultAPIResourceConfigSource().GroupVersionConfigs
	for of := range served {
		g.add(legacyscheme.Scheme, of)
	}
	g.add(extensionserver.Scheme, extensions.SchemeGroupVersion)
	g.add(aggregatorscheme.Scheme, schema.GroupVersion{Group: "apiregistration.k8s.io", Version: "v1"})
	_, err := os.Stdout.Write(g.text())
	return err
}

// Adds the kinds of a version with everything that they are made of, and the values that are filled in where nothing is written.
func (g *graph) add(scheme *runtime.Scheme, of schema.GroupVersion) {
	if slices.Contains(questions, of.Group) {
		return
	}
	for kind, goType := range scheme.KnownTypes(of) {
		if _, isObject := goType.FieldByName("ObjectMeta"); !isObject || slices.Contains(parts, kind) {
			continue
		}
		g.kinds[of.String()+" "+kind] = goType
		g.structure(goType)
		g.fill(scheme, of.WithKind(kind), goType)
	}
}

// What a Go type is in the table. `about` is what the API's OpenAPI says of the field.
func (g *graph) kind(goType reflect.Type, about *spec.Schema) string {
	for goType.Kind() == reflect.Pointer {
		goType = goType.Elem()
	}
	if name, ok := scalars[goType]; ok {
		return name
	}
	if other, ok := transparent[goType]; ok {
		goType = other
	}
	switch goType.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "bool"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "int"
	case reflect.Float32, reflect.Float64:
		return "float"
	case reflect.Slice:
		if goType.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		var item *spec.Schema
		if about != nil && about.Items != nil {
			item = about.Items.Schema
		}
		return "[" + g.kind(goType.Elem(), item) + matching(about) + "]"
	case reflect.Map:
		var value *spec.Schema
		if about != nil && about.AdditionalProperties != nil {
			value = about.AdditionalProperties.Schema
		}
		return "{" + g.kind(goType.Elem(), value) + atomic(about) + "}"
	case reflect.Struct:
		is := g.structure(goType)
		if is.atomic {
			return name(goType)
		}
		return name(goType) + atomic(about)
	case reflect.Interface:
		return "json"
	}
	panic(fmt.Sprintf("%s is of no kind that is known", goType))
}

// How the elements of a list are told apart.
func matching(about *spec.Schema) string {
	if about == nil {
		return ""
	}
	switch of, _ := about.Extensions.GetString("x-kubernetes-list-type"); of {
	case "map":
		keys, _ := about.Extensions.GetStringSlice("x-kubernetes-list-map-keys")
		slices.Sort(keys)
		return " by " + strings.Join(keys, ",")
	case "set":
		return " set"
	}
	return ""
}

func atomic(about *spec.Schema) string {
	if about == nil {
		return ""
	}
	if of, _ := about.Extensions.GetString("x-kubernetes-map-type"); of == "atomic" {
		return " atomic"
	}
	return ""
}

// The name of a type: the last of its package's path, and its own.
func name(goType reflect.Type) string {
	path := strings.Split(goType.PkgPath(), "/")
	return strings.Join(path[max(0, len(path)-2):], "/") + "." + goType.Name()
}

func (g *graph) structure(goType reflect.Type) *structure {
	if known, ok := g.types[goType]; ok {
		return known
	}
	about := g.definitions[goType.PkgPath()+"."+goType.Name()].Schema
	is := &structure{atomic: atomic(&about) != ""}
	g.types[goType] = is
	g.fields(is, goType, nil, &about)
	sort.Slice(is.fields, func(i, j int) bool { return is.fields[i].name < is.fields[j].name })
	return is
}

func (g *graph) fields(is *structure, goType reflect.Type, index []int, about *spec.Schema) {
	_, isObject := goType.FieldByName("ObjectMeta")
	for i := range goType.NumField() {
		of := goType.Field(i)
		tag := strings.Split(of.Tag.Get("json"), ",")
		at := append(slices.Clone(index), i)
		switch {
		case tag[0] == "-" || !of.IsExported():
		case tag[0] == "" && of.Anonymous:
			inside := of.Type
			if inside.Kind() == reflect.Pointer {
				panic(fmt.Sprintf("%s embeds a pointer", goType))
			}
			g.fields(is, inside, at, about)
		case tag[0] == "status" && isObject:
			is.fields = append(is.fields, &field{name: tag[0], kind: "status"})
		default:
			property, ok := about.Properties[tag[0]]
			if !ok && tag[0] != "managedFields" && len(about.Properties) > 0 {
				panic(fmt.Sprintf("OpenAPI does not know %s of %s", tag[0], goType))
			}
			is.fields = append(is.fields, g.field(of, tag, at, &property))
		}
	}
}

func (g *graph) field(of reflect.StructField, tag []string, index []int, about *spec.Schema) *field {
	isScalar := false
	switch of.Type.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint32, reflect.Float64:
		isScalar = true
	}
	return &field{
		name: tag[0], kind: g.kind(of.Type, about), dropped: isScalar && slices.Contains(tag, "omitempty"),
		defaults: map[string][]string{}, index: index, goType: of.Type,
	}
}

// Writes down what the server fills in at each place of a kind: an object is made that has nothing but that place, the API's own
// defaulting is run on it, and it is converted to the form that is stored and back.
func (g *graph) fill(scheme *runtime.Scheme, kind schema.GroupVersionKind, goType reflect.Type) {
	g.at(scheme, kind, goType, nil, "", []reflect.Type{goType})
}

// A way down from a struct: a field, then the elements of lists and maps.
type step struct{ index []int }

func (g *graph) at(scheme *runtime.Scheme, kind schema.GroupVersionKind, root reflect.Type, way []step, path string, above []reflect.Type) {
	here := above[len(above)-1]
	for name, value := range g.filled(scheme, kind, root, way) {
		for _, of := range g.types[here].fields {
			// A time that is filled in is that of the moment.
			if of.name == name && of.goType != nil && of.kind != "time" {
				of.defaults[value] = append(of.defaults[value], kind.GroupVersion().String()+" "+kind.Kind+" "+strings.TrimPrefix(path+"."+name, "."))
			}
		}
	}
	g.seen[here]++
	for _, of := range g.types[here].fields {
		if of.goType == nil || path == "" && of.name == "metadata" {
			continue
		}
		way := append(slices.Clone(way), step{of.index})
		if of.kind == "{quantity}" && rounds(scheme, root, way) {
			of.rounded = true
		}
		inside := element(of.goType)
		// A type that holds itself is looked at once.
		if g.types[inside] == nil || slices.Contains(above, inside) {
			continue
		}
		g.at(scheme, kind, root, way, strings.TrimPrefix(path+"."+of.name, "."), append(slices.Clone(above), inside))
	}
}

// The type of what is in a field: in its list, in its map, behind its pointer.
func element(of reflect.Type) reflect.Type {
	if _, ok := scalars[of]; ok {
		return of
	}
	if k := of.Kind(); k == reflect.Pointer || k == reflect.Slice || k == reflect.Map {
		return element(of.Elem())
	}
	return of
}

// Whether the amounts of a map are rounded up to thousandths.
func rounds(scheme *runtime.Scheme, root reflect.Type, way []step) bool {
	object := reflect.New(root)
	last := len(way) - 1
	amounts := build(object.Elem(), way[:last]).FieldByIndex(way[last].index)
	if !amounts.CanSet() {
		return false
	}
	amounts.Set(reflect.MakeMap(amounts.Type()))
	key := reflect.ValueOf("cpu").Convert(amounts.Type().Key())
	amounts.SetMapIndex(key, reflect.ValueOf(resource.MustParse("1n")))
	scheme.Default(object.Interface().(runtime.Object))
	found, ok := follow(object.Elem(), way[:last])
	if !ok {
		return false
	}
	amount, ok := found.FieldByIndex(way[last].index).MapIndex(key).Interface().(resource.Quantity)
	return ok && amount.String() == "1m"
}

// The fields that are there at the end of a way, with their JSON, where nothing but the way is written.
func (g *graph) filled(scheme *runtime.Scheme, kind schema.GroupVersionKind, root reflect.Type, way []step) map[string]string {
	object := reflect.New(root)
	build(object.Elem(), way)
	scheme.Default(object.Interface().(runtime.Object))
	if out, ok := converted(scheme, kind, object.Interface().(runtime.Object)); ok {
		object = reflect.ValueOf(out)
	}
	end, ok := follow(object.Elem(), way)
	if !ok {
		return nil
	}
	text, err := json.Marshal(end.Interface())
	if err != nil {
		panic(err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		panic(err)
	}
	out := map[string]string{}
	for name, value := range fields {
		switch {
		case string(value) == "null":
		case value[0] == '{':
			// What is in it, its own type says.
			out[name] = "{}"
		default:
			out[name] = string(value)
		}
	}
	return out
}

// The object as it is after it was stored. A skeleton may be none that can be: then it stays as it is.
func converted(scheme *runtime.Scheme, kind schema.GroupVersionKind, object runtime.Object) (out runtime.Object, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	internal, err := scheme.ConvertToVersion(object, schema.GroupVersion{Group: kind.Group, Version: runtime.APIVersionInternal})
	if err != nil {
		return nil, false
	}
	out, err = scheme.ConvertToVersion(internal, kind.GroupVersion())
	return out, err == nil
}

// Makes everything on a way, with one element in each list and map.
func build(value reflect.Value, way []step) reflect.Value {
	for _, step := range way {
		value = inner(value.FieldByIndex(step.index), true)
	}
	return value
}

func follow(value reflect.Value, way []step) (reflect.Value, bool) {
	for _, step := range way {
		value = inner(value.FieldByIndex(step.index), false)
		if !value.IsValid() {
			return value, false
		}
	}
	return value, true
}

func inner(value reflect.Value, make bool) reflect.Value {
	switch value.Kind() {
	case reflect.Pointer:
		if value.IsNil() {
			if !make {
				return reflect.Value{}
			}
			value.Set(reflect.New(value.Type().Elem()))
		}
		return inner(value.Elem(), make)
	case reflect.Slice:
		if value.Len() == 0 {
			if !make {
				return reflect.Value{}
			}
			value.Set(reflect.MakeSlice(value.Type(), 1, 1))
		}
		return inner(value.Index(0), make)
	case reflect.Map:
		if !make {
			for _, key := range value.MapKeys() {
				return inner(value.MapIndex(key), false)
			}
			return reflect.Value{}
		}
		// What is in a map cannot be changed there: nothing below it is looked at.
		value.Set(reflect.MakeMap(value.Type()))
		element := reflect.New(value.Type().Elem()).Elem()
		value.SetMapIndex(reflect.ValueOf("key").Convert(value.Type().Key()), element)
		return element
	}
	return value
}

// The table: first the kinds, each with what is filled in there and not at all places of a type, then the types.
func (g *graph) text() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# The types of the kinds of Kubernetes %s, written by generate.sh beside this file. See ../types.rs.\n", strings.TrimPrefix(version.Get().GitVersion, "v"))
	special := map[string][]string{}
	for goType, is := range g.types {
		for _, of := range is.fields {
			all := 0
			for _, places := range of.defaults {
				all += len(places)
			}
			if len(of.defaults) == 1 && all == g.seen[goType] {
				continue
			}
			for value, places := range of.defaults {
				for _, place := range places {
					words := strings.SplitN(place, " ", 3)
					special[words[0]+" "+words[1]] = append(special[words[0]+" "+words[1]], words[2]+" = "+value)
				}
			}
			of.defaults = nil
		}
	}
	for _, kind := range sorted(g.kinds) {
		fmt.Fprintf(&out, "kind %s %s\n", kind, name(g.kinds[kind]))
		slices.Sort(special[kind])
		for _, line := range special[kind] {
			fmt.Fprintf(&out, " %s\n", line)
		}
	}
	names := map[string]*structure{}
	for goType, is := range g.types {
		if names[name(goType)] != nil {
			panic(name(goType) + " is the name of two types")
		}
		names[name(goType)] = is
	}
	for _, name := range sorted(names) {
		is := names[name]
		fmt.Fprintf(&out, "type %s", name)
		if is.atomic {
			fmt.Fprint(&out, " atomic")
		}
		fmt.Fprintln(&out)
		for _, of := range is.fields {
			kind := of.kind
			if of.rounded {
				kind = "{amount}"
			}
			fmt.Fprintf(&out, " %s %s", of.name, kind)
			if of.dropped {
				fmt.Fprint(&out, " omit")
			}
			for value := range of.defaults {
				fmt.Fprintf(&out, " = %s", value)
			}
			fmt.Fprintln(&out)
		}
	}
	return out.Bytes()
}

func sorted[T any](of map[string]T) []string {
	out := make([]string, 0, len(of))
	for key := range of {
		out = append(out, key)
	}
	slices.Sort(out)
	return out
}
