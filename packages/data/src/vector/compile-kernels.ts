// `npm run kernels -w @slip/data`: compiles pixel-kernels.wat into pixel-kernels-binary.ts.
import path from 'node:path';
import { kernelFolder } from '@slip/core/wat';

/** This file was compiled from one that lies beside them. */
export const kernelSources = kernelFolder(path.resolve(import.meta.dirname, '../../src/vector'), '@slip/data', [
  'pixel-kernels',
]);

if (process.argv[1] === import.meta.filename) await kernelSources.write();
