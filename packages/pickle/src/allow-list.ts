// The Python names that a pickle may use, each with what stands for it here. A name that is not listed is never called:
// it is refused, or kept as an `OpaqueObject`, as the reader wishes.
import { GlobalName, Namespace, OpaqueObject, OrderedDict, type PickleValue } from './values.js';

/** Throws an error that names file and offset. */
export type Fail = (what: string) => never;

/** What a listed name does. Where a member is missing, the pickle may not use it in that way. */
export interface AllowedGlobal {
  /** `name(*args)`. */
  readonly call?: (args: readonly PickleValue[], fail: Fail) => PickleValue;
  /** `name.__new__(name, *args)`, used by protocol 2 and later; `call` where it is missing. */
  readonly make?: (args: readonly PickleValue[], fail: Fail) => PickleValue;
}

export type AllowList = ReadonlyMap<string, AllowedGlobal>;

function entries(names: readonly string[], allowed: AllowedGlobal): [string, AllowedGlobal][] {
  return names.map((name) => [name, allowed]);
}

/** The same name under Python 3 and Python 2. */
function builtin(name: string): string[] {
  return [`builtins.${name}`, `__builtin__.${name}`];
}

const CALLABLE_PATHS = ['pathlib', 'pathlib._local'].flatMap((module) =>
  ['PosixPath', 'PurePosixPath', 'WindowsPath', 'PureWindowsPath', 'Path'].map((name) => `${module}.${name}`),
);

/** Containers, paths and the bookkeeping of Python itself. */
export const PYTHON_GLOBALS: AllowList = new Map<string, AllowedGlobal>([
  ['collections.OrderedDict', { call: (args, fail) => new OrderedDict(pairs(args[0] ?? [], fail)) }],
  ['collections.defaultdict', { call: () => new OrderedDict() }],
  ['argparse.Namespace', { call: () => new Namespace() }],
  ['types.SimpleNamespace', { call: () => new Namespace() }],
  ...entries(CALLABLE_PATHS, { call: (parts, fail) => joinPath(parts, fail) }),
  ...entries(builtin('set'), { call: (args, fail) => new Set(list(args[0] ?? [], fail)) }),
  ...entries(builtin('frozenset'), { call: (args, fail) => new Set(list(args[0] ?? [], fail)) }),
  ...entries(builtin('list'), { call: (args, fail) => [...list(args[0] ?? [], fail)] }),
  ...entries(builtin('tuple'), { call: (args, fail) => [...list(args[0] ?? [], fail)] }),
  ...entries(builtin('dict'), { call: (args, fail) => new Map(pairs(args[0] ?? [], fail)) }),
  ...entries([...builtin('int'), ...builtin('float'), ...builtin('str')], {}),
  ...entries(builtin('bytearray'), { call: byteArray }),
  ...entries(builtin('bytes'), { call: byteArray }),
  ...entries(builtin('object'), {}),
  ['_codecs.encode', { call: encode }],
  ...entries(['copyreg._reconstructor', 'copy_reg._reconstructor'], { call: reconstruct }),
]);

function list(value: PickleValue, fail: Fail): PickleValue[] {
  if (Array.isArray(value)) return value;
  if (value instanceof Set) return [...value];
  return fail('has a container that is made from something else than a list');
}

function pairs(value: PickleValue, fail: Fail): [PickleValue, PickleValue][] {
  if (value instanceof Map) return [...value];
  return list(value, fail).map((pair): [PickleValue, PickleValue] => {
    if (!Array.isArray(pair) || pair.length !== 2)
      return fail('has a dict that is made from something else than pairs');
    return [pair[0], pair[1]];
  });
}

/** `('/', 'a', 'b')` is `/a/b`. */
function joinPath(parts: readonly PickleValue[], fail: Fail): string {
  const texts = parts.map((part) => (typeof part === 'string' ? part : fail('has a path that is not made of text')));
  return texts.length === 0 ? '.' : texts.join('/').replace(/^\/\//, '/');
}

/** How Python 3 writes bytes below protocol 3: as text, with the name of an encoding. */
function encode([text, encoding]: readonly PickleValue[], fail: Fail): Uint8Array {
  if (typeof text !== 'string') return fail('encodes something that is not text');
  const name = typeof encoding === 'string' ? encoding.toLowerCase() : 'utf-8';
  if (name === 'utf-8' || name === 'utf8') return new Uint8Array(Buffer.from(text, 'utf8'));
  if (name === 'latin1' || name === 'latin-1' || name === 'ascii') return new Uint8Array(Buffer.from(text, 'latin1'));
  return fail(`encodes text as ${name}, which is not supported`);
}

function byteArray([content, encoding]: readonly PickleValue[], fail: Fail): Uint8Array {
  if (content === undefined) return new Uint8Array(0);
  if (content instanceof Uint8Array) return content;
  if (typeof content === 'string') return encode([content, encoding ?? 'latin1'], fail);
  if (Array.isArray(content) && content.every((item) => typeof item === 'number' && item >= 0 && item < 256)) {
    return Uint8Array.from(content as number[]);
  }
  return fail('makes bytes of something else than bytes');
}

/** How protocols 0 and 1 write plain objects: class, base class, and the base's own state. */
function reconstruct([type, , state]: readonly PickleValue[], fail: Fail): PickleValue {
  if (!(type instanceof GlobalName)) return fail('rebuilds an object without a class');
  if (`${type}` === 'argparse.Namespace' || `${type}` === 'types.SimpleNamespace') return new Namespace();
  if (`${type}` === 'collections.OrderedDict') return new OrderedDict();
  return new OpaqueObject(type, [state ?? null]);
}
