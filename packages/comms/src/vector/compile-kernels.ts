// `npm run kernels -w @slip/comms`: compiles kernels.wat into kernels-binary.ts and matrix-kernels.wat into matrix-kernels-binary.ts.
import path from 'node:path';
import { kernelFolder } from '@slip/core/wat';

/** This file was compiled from one that lies beside them. */
export const kernelSources = kernelFolder(path.resolve(import.meta.dirname, '../../src/vector'), '@slip/comms', [
  'kernels',
  'matrix-kernels',
]);

if (process.argv[1] === import.meta.filename) await kernelSources.write();
