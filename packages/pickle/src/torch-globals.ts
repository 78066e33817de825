// PyTorch's tensors, storages and small types. A tensor is a description: its bytes stay where they are in the archive.
import type { AllowedGlobal, AllowList, Fail } from './allow-list.js';
import { isShape } from './numpy-globals.js';
import { GlobalName, type PickleValue, TorchStorage, TorchTensor } from './values.js';

/** Storage class to element type. */
const STORAGE_DTYPES: Readonly<Record<string, string>> = {
  DoubleStorage: 'float64',
  FloatStorage: 'float32',
  HalfStorage: 'float16',
  BFloat16Storage: 'bfloat16',
  LongStorage: 'int64',
  IntStorage: 'int32',
  ShortStorage: 'int16',
  CharStorage: 'int8',
  ByteStorage: 'uint8',
  BoolStorage: 'bool',
  UntypedStorage: 'uint8',
};

/** Bytes per element by torch's name. */
export const TORCH_ELEMENT_BYTES: Readonly<Record<string, number>> = {
  float64: 8,
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  int16: 2,
  int8: 1,
  uint8: 1,
  bool: 1,
};

const storageModules = ['torch', 'torch.cuda', 'torch.storage'];

export const TORCH_GLOBALS: AllowList = new Map<string, AllowedGlobal>([
  ...storageModules.flatMap((module) =>
    Object.keys(STORAGE_DTYPES).map((name): [string, AllowedGlobal] => [`${module}.${name}`, {}]),
  ),
  ...Object.keys(TORCH_ELEMENT_BYTES).map((name): [string, AllowedGlobal] => [`torch.${name}`, {}]),
  ['torch._utils._rebuild_tensor', { call: rebuildTensor }],
  ['torch._utils._rebuild_tensor_v2', { call: rebuildTensor }],
  ['torch._utils._rebuild_parameter', { call: rebuildParameter }],
  ['torch._utils._rebuild_parameter_with_state', { call: rebuildParameter }],
  ['torch.Size', { call: ([sizes], fail) => (isShape(sizes) ? sizes : fail('has an odd torch.Size')) }],
  ['torch.device', { call: deviceName }],
  // As TorchScript archives write lists of numbers.
  ...['build_intlist', 'build_doublelist', 'build_boollist', 'build_tensorlist'].map(
    (name): [string, AllowedGlobal] => [`torch.jit._pickle.${name}`, { call: ([items]) => items ?? [] }],
  ),
]);

/** (storage, offset, shape, strides, ...); what follows is about gradients and hooks. */
function rebuildTensor([storage, offset, shape, strides]: readonly PickleValue[], fail: Fail): TorchTensor {
  if (!(storage instanceof TorchStorage)) return fail('has a tensor without a storage');
  if (!isShape(shape) || !isShape(strides) || shape.length !== strides.length || shape.length > 64) {
    return fail('has a tensor with an odd shape or odd strides');
  }
  if (!Number.isSafeInteger(offset) || (offset as number) < 0) return fail('has a tensor with an odd offset');
  const empty = shape.some((size) => size === 0);
  const last = shape.reduce((sum, size, axis) => sum + (size - 1) * strides[axis], offset as number);
  if (!empty && !(last < storage.length)) {
    return fail(`has a tensor [${shape}] that reaches to element ${last} of a storage of ${storage.length}`);
  }
  return new TorchTensor(storage, offset as number, shape, strides);
}

function rebuildParameter([tensor]: readonly PickleValue[], fail: Fail): TorchTensor {
  return tensor instanceof TorchTensor ? tensor : fail('has a parameter without a tensor');
}

function deviceName([type, index]: readonly PickleValue[], fail: Fail): string {
  if (typeof type !== 'string') return fail('has an odd torch.device');
  return typeof index === 'number' ? `${type}:${index}` : type;
}

/**
 * The meaning of a persistent id in a torch file: `('storage', class, key, location, elements)`.
 * @throws through `fail` for anything else
 */
export function torchStorage(id: PickleValue, fail: Fail): TorchStorage {
  const [kind, type, key, location, length] = Array.isArray(id) ? id : [];
  const dtype = type instanceof GlobalName ? STORAGE_DTYPES[type.name] : undefined;
  if (kind !== 'storage' || typeof key !== 'string' || typeof location !== 'string') {
    return fail('refers to something else than a storage');
  }
  if (dtype === undefined) return fail(`refers to a storage of the unknown class ${String(type)}`);
  if (!Number.isSafeInteger(length) || (length as number) < 0) return fail('refers to a storage of odd length');
  return new TorchStorage(dtype, key, location, length as number);
}
