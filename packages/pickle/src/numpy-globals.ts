// numpy's scalars, element types and arrays, as numpy 1 and 2 pickle them.
import type { AllowedGlobal, AllowList, Fail } from './allow-list.js';
import { ItemList, NumpyArray, NumpyDtype, type PickleValue } from './values.js';

const MODULES = ['numpy.core.multiarray', 'numpy._core.multiarray', 'numpy'];

function inModules(name: string, modules: readonly string[], allowed: AllowedGlobal): [string, AllowedGlobal][] {
  return modules.map((module) => [`${module}.${name}`, allowed]);
}

export const NUMPY_GLOBALS: AllowList = new Map<string, AllowedGlobal>([
  ...inModules('scalar', MODULES, { call: ([dtype, bytes], fail) => scalar(dtype, bytes, fail) }),
  ...inModules('_reconstruct', MODULES, { call: () => new NumpyArray() }),
  ...inModules('_frombuffer', ['numpy.core.numeric', 'numpy._core.numeric'], { call: fromBuffer }),
  ['numpy.ndarray', {}],
  ['numpy.dtype', { call: ([code], fail) => makeDtype(code, fail) }],
]);

function makeDtype(code: PickleValue | undefined, fail: Fail): NumpyDtype {
  if (typeof code !== 'string') {
    const dtype = new NumpyDtype('V0');
    dtype.structured = true;
    return dtype;
  }
  const match = /^([<>=|]?)([?bBhHiIlLqQefdgFDGSUVOMmuc])(\d*)$/.exec(code);
  if (match === null || match[3].length > 9) return fail(`has the numpy type ${JSON.stringify(code.slice(0, 40))}`);
  const dtype = new NumpyDtype(match[2] + match[3]);
  dtype.littleEndian = match[1] !== '>';
  return dtype;
}

/** BUILD of a dtype: (version, byte order, sub-array, names, fields, ...). */
export function buildDtype(dtype: NumpyDtype, state: PickleValue, fail: Fail): void {
  if (!Array.isArray(state) || state.length < 5) fail('has a numpy type with an odd state');
  const [, order, subArray, names] = state;
  dtype.littleEndian = order !== '>';
  dtype.structured ||= subArray !== null || names !== null;
}

/** BUILD of an array: (version, shape, dtype, column-major, bytes or list of objects). */
export function buildArray(array: NumpyArray, state: PickleValue, fail: Fail): void {
  if (!Array.isArray(state) || state.length !== 5) fail('has a numpy array with an odd state');
  const [, shape, dtype, fortran, data] = state;
  fillArray(array, shape, dtype, fortran === true, data, fail);
}

/** (buffer, dtype, shape, order), used by protocol 5. */
function fromBuffer([buffer, dtype, shape, order]: readonly PickleValue[], fail: Fail): NumpyArray {
  const array = new NumpyArray();
  fillArray(array, shape, dtype, order === 'F', buffer, fail);
  return array;
}

function fillArray(
  array: NumpyArray,
  shape: PickleValue,
  dtype: PickleValue,
  fortran: boolean,
  data: PickleValue,
  fail: Fail,
): void {
  if (!isShape(shape)) fail('has a numpy array with an odd shape');
  if (!(dtype instanceof NumpyDtype)) fail('has a numpy array without an element type');
  const count = shape.reduce((product, size) => product * size, 1);
  const bytes = typeof data === 'string' ? new Uint8Array(Buffer.from(data, 'latin1')) : data;
  if (bytes instanceof Uint8Array) {
    const elementBytes = dtypeBytes(dtype);
    if (elementBytes !== undefined && bytes.length !== count * elementBytes) {
      fail(`has a numpy array of ${count} elements of ${dtype.code} in ${bytes.length} bytes`);
    }
    array.data = bytes;
  } else if (Array.isArray(bytes) || bytes instanceof ItemList) {
    if (bytes.length !== count) fail(`has a numpy array of ${count} objects that holds ${bytes.length}`);
    array.data = bytes;
  } else fail('has a numpy array without data');
  array.shape = shape;
  array.dtype = dtype;
  array.fortran = fortran;
}

export function isShape(value: PickleValue): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && (size as number) >= 0);
}

/** Undefined for types that are not numbers, booleans or text. */
function dtypeBytes({ code, structured }: NumpyDtype): number | undefined {
  const match = /^([biufSU])(\d+)$/.exec(code);
  if (structured || match === null) return undefined;
  return match[1] === 'U' ? Number(match[2]) * 4 : Number(match[2]);
}

/** What `elementAt` reads; other sizes can be written in a pickle, as a boolean of four bytes. */
const PLAIN_TYPE = /^(?:b1|[iu][1248]|f[248]|[SU]\d+)$/;

function scalar(dtype: PickleValue, bytes: PickleValue, fail: Fail): PickleValue {
  if (!(dtype instanceof NumpyDtype)) return fail('has a numpy scalar without an element type');
  if (/^O\d*$/.test(dtype.code)) return bytes;
  const raw = typeof bytes === 'string' ? new Uint8Array(Buffer.from(bytes, 'latin1')) : bytes;
  const size = dtypeBytes(dtype);
  const isPlain = size !== undefined && PLAIN_TYPE.test(dtype.code);
  if (!(raw instanceof Uint8Array) || !isPlain || raw.length !== size) {
    return fail(`has a numpy scalar of type ${dtype.code} that does not fit its bytes`);
  }
  return elementAt(raw, 0, dtype);
}

/**
 * The elements in row-major order as plain values.
 * @throws RangeError for records, dates and complex numbers
 */
export function numpyElements(array: NumpyArray): PickleValue[] {
  const { data, dtype } = array;
  if (data instanceof ItemList) throw new RangeError('the elements of this array were taken out while it was read');
  const flat = Array.isArray(data) ? data : rawElements(data, dtype);
  return array.fortran && array.shape.length > 1 ? toRowMajor(flat, array.shape) : flat;
}

function rawElements(data: Uint8Array, dtype: NumpyDtype): PickleValue[] {
  const size = dtypeBytes(dtype);
  if (size === undefined) throw new RangeError(`numpy elements of type ${dtype.code} are not plain values`);
  return size === 0 ? [] : Array.from({ length: data.length / size }, (_, i) => elementAt(data, i * size, dtype));
}

function elementAt(data: Uint8Array, at: number, { code, littleEndian }: NumpyDtype): PickleValue {
  const view = new DataView(data.buffer, data.byteOffset + at);
  const size = Number(code.slice(1));
  switch (code) {
    case 'b1':
      return view.getUint8(0) !== 0;
    case 'i1':
      return view.getInt8(0);
    case 'u1':
      return view.getUint8(0);
    case 'i2':
      return view.getInt16(0, littleEndian);
    case 'u2':
      return view.getUint16(0, littleEndian);
    case 'i4':
      return view.getInt32(0, littleEndian);
    case 'u4':
      return view.getUint32(0, littleEndian);
    case 'i8':
      return plainInteger(view.getBigInt64(0, littleEndian));
    case 'u8':
      return plainInteger(view.getBigUint64(0, littleEndian));
    case 'f2':
      return halfToNumber(view.getUint16(0, littleEndian));
    case 'f4':
      return view.getFloat32(0, littleEndian);
    case 'f8':
      return view.getFloat64(0, littleEndian);
  }
  if (code.startsWith('S'))
    return Buffer.from(data.subarray(at, at + size))
      .toString('latin1')
      .replace(/\0+$/, '');
  if (code.startsWith('U')) {
    let text = '';
    for (let i = 0; i < size; i++) {
      const point = view.getUint32(i * 4, littleEndian);
      text += point <= 0x10ffff ? String.fromCodePoint(point) : '\ufffd';
    }
    return text.replace(/\0+$/, '');
  }
  throw new RangeError(`numpy elements of type ${code} are not plain values`);
}

function plainInteger(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** IEEE binary16. */
function halfToNumber(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

function toRowMajor(flat: readonly PickleValue[], shape: readonly number[]): PickleValue[] {
  const strides = shape.map((_, axis) => shape.slice(0, axis).reduce((product, size) => product * size, 1));
  const index = shape.map(() => 0);
  return flat.map(() => {
    const value = flat[index.reduce((sum, position, axis) => sum + position * strides[axis], 0)];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      if (++index[axis] < shape[axis]) break;
      index[axis] = 0;
    }
    return value;
  });
}
