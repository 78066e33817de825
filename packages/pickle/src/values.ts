// What a pickle turns into: plain JavaScript values, and nodes for the few Python classes that carry data. Nothing here
// can do anything; a class that is not known becomes an `OpaqueObject`.

/**
 * None is null, int is number or (beyond 2^53) bigint, list and tuple are arrays, dict is a Map, bytes and bytearray are
 * Uint8Arrays. Values may be shared and, if the pickle says so, cyclic: whoever walks them must mind that.
 */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | Set<PickleValue>
  | GlobalName
  | Namespace
  | OpaqueObject
  | ItemList
  | NumpyDtype
  | NumpyArray
  | TorchStorage
  | TorchTensor;

/** A class or function that the pickle names without calling it, such as a storage type or `torch.float16`. */
export class GlobalName {
  readonly module: string;
  readonly name: string;

  constructor(module: string, name: string) {
    this.module = module;
    this.name = name;
  }

  toString(): string {
    return `${this.module}.${this.name}`;
  }
}

/** `collections.OrderedDict`, with the attributes that were set on it (`_metadata` of a state dict). */
export class OrderedDict extends Map<PickleValue, PickleValue> {
  attributes: Map<PickleValue, PickleValue> | undefined;
}

/** `argparse.Namespace` and its like: attributes by name. */
export class Namespace {
  readonly attributes = new Map<PickleValue, PickleValue>();
}

/** An object of a class that is not on the allow-list: what it would have been made from, unmade. */
export class OpaqueObject {
  readonly type: GlobalName;
  readonly args: PickleValue;
  /** From BUILD; undefined without one. */
  state: PickleValue | undefined;
  /** Items that were appended or set, for classes that derive from list or dict. */
  readonly items: PickleValue[] = [];

  constructor(type: GlobalName, args: PickleValue) {
    this.type = type;
    this.args = args;
  }
}

/** A list whose items went to the reader one batch after the other: only their number is left. */
export class ItemList {
  length = 0;
  #delivered: PickleValue[] = [];

  deliver(items: PickleValue[]): void {
    this.length += items.length;
    if (this.#delivered.length === 0) this.#delivered = items;
    else for (const item of items) this.#delivered.push(item);
  }

  get pending(): number {
    return this.#delivered.length;
  }

  /** What came since the last call. */
  take(): PickleValue[] {
    const items = this.#delivered;
    this.#delivered = [];
    return items;
  }
}

/** A numpy element type, for example `f8`, little endian. */
export class NumpyDtype {
  /** Kind and bytes, such as `f8`, `i4`, `U10` (characters), `O8`. */
  code: string;
  littleEndian = true;
  /** Set for records and sub-arrays, which are not taken apart. */
  structured = false;

  constructor(code: string) {
    this.code = code;
  }
}

export class NumpyArray {
  shape: readonly number[] = [0];
  dtype = new NumpyDtype('u1');
  /** Column-major. */
  fortran = false;
  /** Raw elements, or for the type `O` the objects themselves. */
  data: Uint8Array | PickleValue[] | ItemList = new Uint8Array(0);
}

/** Memory of one or several tensors; its bytes are elsewhere, under `key`. */
export class TorchStorage {
  /** `float32`, `int64`, ... as torch names them. */
  readonly dtype: string;
  readonly key: string;
  /** `cpu`, `cuda:0`, ... at the time of saving. */
  readonly location: string;
  /** Elements. */
  readonly length: number;

  constructor(dtype: string, key: string, location: string, length: number) {
    this.dtype = dtype;
    this.key = key;
    this.location = location;
    this.length = length;
  }
}

/** A view of a storage; offset and strides count elements. */
export class TorchTensor {
  readonly storage: TorchStorage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];

  constructor(storage: TorchStorage, offset: number, shape: readonly number[], strides: readonly number[]) {
    this.storage = storage;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
  }
}
