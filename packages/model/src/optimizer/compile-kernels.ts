// `npm run kernels -w @slip/model`: compiles adamw-kernel.wat into adamw-kernel-binary.ts.
import path from 'node:path';
import { kernelFolder } from '@slip/core/wat';

/** This file was compiled from one that lies beside them. */
export const kernelSources = kernelFolder(path.resolve(import.meta.dirname, '../../src/optimizer'), '@slip/model', [
  'adamw-kernel',
]);

if (process.argv[1] === import.meta.filename) await kernelSources.write();
