// Python pickles as data: read without executing anything, and written in the plain form that PyTorch trusts.

export { ListPickler } from './list-pickler.js';
export { numpyElements } from './numpy-globals.js';
export { type Picklable, pickle, python } from './pickle.js';
export { PickleInput, type PickleOrigin } from './pickle-input.js';
export { TORCH_ELEMENT_BYTES, torchStorage } from './torch-globals.js';
export { type UnpickleOptions, unpickle, unpickleItems } from './unpickle.js';
export {
  GlobalName,
  ItemList,
  Namespace,
  NumpyArray,
  NumpyDtype,
  OpaqueObject,
  OrderedDict,
  type PickleValue,
  TorchStorage,
  TorchTensor,
} from './values.js';
