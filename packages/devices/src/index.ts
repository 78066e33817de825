// What devices need, what a machine has of it, and which one a worker takes. Nothing here computes.
export { checkDevices, chooseDevice, type DeviceChoice, type DeviceWish } from './choose.js';
export { CUDA_PROVIDER_FILES, cudaFolder, type DeviceFacts, findDeviceFacts } from './facts.js';
export {
  DEVICE_KINDS,
  type DeviceKind,
  type DeviceReport,
  mendFailed,
  reportOnDevice,
  reportOnDevices,
} from './report.js';
export { findTensorFlow } from './tensorflow-package.js';
export type { Adapter } from './vulkan.js';
