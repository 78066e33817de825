// The WebGPU device keeps the contract of all devices, on the software adapter of Debian's chromium; the other families and more steps take longer.
import { useSoftwareAdapter, withoutSoftwareAdapter } from '@slip/devices/testing';
import { CPU, openDevice } from '@slip/engine';
import { deviceContract, lossesOnDevice } from './testing/device-contract.js';

const skipped = withoutSoftwareAdapter();
useSoftwareAdapter();
const webgpu = skipped === undefined ? await openDevice('webgpu') : CPU;

deviceContract({
  name: 'webgpu',
  families: ['CLIP'],
  steps: 3,
  losses: (model, steps) => lossesOnDevice(webgpu, model, steps),
  ...(skipped === undefined ? {} : { skipped }),
  tolerance: () => 1e-4,
});
