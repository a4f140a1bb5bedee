# What a module of ours uses of nixpkgs' lib, for a machine without nixpkgs: mkOption, mkIf, some types, evalModules.
# Errors are worded as there. An option has one definition, and a module has no priorities.
let
  inherit (builtins)
    all attrNames concatLists concatStringsSep elem filter genList head isAttrs isBool isFunction isInt isList isString
    length listToAttrs map match removeAttrs tail toJSON;

  nameValue = name: value: { inherit name value; };
  mapAttrs = f: set: listToAttrs (map (name: nameValue name (f name set.${name})) (attrNames set));
  show = concatStringsSep ".";
  isIf = value: isAttrs value && value._type or "" == "if";
  isOption = value: isAttrs value && value._type or "" == "option";

  # A type judges a value (`check`), and makes what the option is from it (`merge`).
  plain = description: check: { inherit description check; merge = at: value: value; };

  judge = type: at: value:
    if type.check value then type.merge at value
    else throw "A definition for option `${show at}' is not of type `${type.description}'.";

  merge = a: b:
    a // mapAttrs (name: value: if a ? ${name} && isAttrs a.${name} && isAttrs value then merge a.${name} value else value) b;

  # The value of one option, or of a set of options, for the definitions of it.
  evaluate = options: at: definitions:
    if isOption options then
      let real = concatLists (map discharge definitions);
      in
      if real != [ ] then judge options.type at (if length real == 1 then head real else combine at real)
      else if options ? default then judge options.type at options.default
      else throw "The option `${show at}' is used but not defined."
    else mapAttrs (name: option: evaluate option (at ++ [ name ]) (concatLists (map (get name) definitions))) options;

  combine = at: values:
    if all isAttrs values then builtins.foldl' merge { } values
    else throw "The option `${show at}' has several definitions.";

  # mkIf is pushed down: its condition may depend on another option.
  get = name: value:
    if isIf value then map (lib.mkIf value.condition) (get name value.content)
    else if value ? ${name} then [ value.${name} ] else [ ];
  discharge = value:
    if isIf value then (if value.condition then discharge value.content else [ ]) else [ value ];

  # The paths of what a definition sets and no option is there for.
  list = options: at: value:
    if isIf value then list options at value.content
    else if isOption options then [ ]
    else concatLists (map
      (name: if options ? ${name} then list options.${name} (at ++ [ name ]) value.${name} else [ (at ++ [ name ]) ])
      (attrNames value));

  require = options: at: value: result:
    let unknown = list options at value;
    in if unknown == [ ] then result else throw "The option `${show (head unknown)}' does not exist.";

  lib = {
    mkOption = attributes: attributes // { _type = "option"; };
    mkIf = condition: content: { _type = "if"; inherit condition content; };

    types = rec {
      anything = plain "anything" (_: true);
      bool = plain "boolean" isBool;
      int = plain "signed integer" isInt;
      str = plain "string" isString;
      ints.between = low: high:
        plain "integer between ${toString low} and ${toString high} (both inclusive)"
          (value: isInt value && value >= low && value <= high);
      strMatching = pattern:
        plain "string matching the pattern ${pattern}" (value: isString value && match pattern value != null);
      enum = values: plain "one of ${toJSON values}" (value: elem value values);
      nullOr = type: {
        description = "null or ${type.description}";
        check = value: value == null || type.check value;
        merge = at: value: if value == null then null else type.merge at value;
      };
      oneOf = types: {
        description = concatStringsSep " or " (map (type: type.description) types);
        check = value: builtins.any (type: type.check value) types;
        merge = at: value: (head (filter (type: type.check value) types)).merge at value;
      };
      listOf = type: {
        description = "list of ${type.description}";
        check = isList;
        merge = at: value:
          genList (index: judge type (at ++ [ "[definition 1-entry ${toString (index + 1)}]" ]) (builtins.elemAt value index))
            (length value);
      };
      attrsOf = type: {
        description = "attribute set of ${type.description}";
        check = isAttrs;
        merge = at: mapAttrs (name: judge type (at ++ [ name ]));
      };
      submodule = module: {
        description = "submodule";
        check = isAttrs;
        merge = at: value: require module.options at value (evaluate module.options at [ value ]);
      };
    };

    evalModules = { modules }:
      let
        load = module:
          let
            text = if isFunction module || isAttrs module then module else import module;
            made = if isFunction text then text { inherit config lib; } else text;
          in
          concatLists (map load (made.imports or [ ])) ++ [
            {
              options = made.options or { };
              config = made.config or (removeAttrs made [ "imports" "options" ]);
            }
          ];
        loaded = concatLists (map load modules);
        options = builtins.foldl' (found: each: merge found each.options) { } loaded;
        definitions = map (each: each.config) loaded;
        config = evaluate options [ ] definitions;
      in
      { config = builtins.foldl' (result: value: require options [ ] value result) config definitions; };
  };
in
lib
