// The WebGPU device keeps the contract of all devices, on the software adapter of Debian's chromium.
import { useSoftwareAdapter, withoutSoftwareAdapter } from '@slip/devices/testing';
import { openDevice } from '@slip/engine';
import { deviceContract, lossesOnDevice } from './testing/device-contract.js';

const missing = withoutSoftwareAdapter();
useSoftwareAdapter();
const webgpu = await openDevice('webgpu');

deviceContract({
  name: 'webgpu',
  losses: (model, steps) => lossesOnDevice(webgpu, model, steps),
  ...(missing === false ? {} : { skipped: { CLIP: missing, SIMCLR: missing, SLIP: missing } }),
  tolerance: (family, step) => (family === 'CLIP' ? 1e-4 : 1e-4 * step ** 2),
});
