// Where TensorFlow's addon for Node is, if anywhere: a folder that was built, or a package that was installed. Nothing is loaded.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

/** Names of the package, the one with CUDA first. */
const PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'];

export interface TensorFlowPackage {
  readonly folder: string;
  readonly name: string;
  readonly version: string;
}

/** @param built the folder of `npm run build-tensorflow`, which comes before what is installed */
export function findTensorFlow(built: string | undefined): TensorFlowPackage | undefined {
  const places = built === undefined || built === '' ? moduleFolders() : [path.join(built, 'node_modules')];
  for (const place of places) {
    for (const name of PACKAGES) {
      const folder = path.join(place, name);
      const manifest = path.join(folder, 'package.json');
      if (!existsSync(manifest)) continue;
      const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
      return { folder, name, version };
    }
  }
  return undefined;
}

function moduleFolders(): readonly string[] {
  return createRequire(import.meta.url).resolve.paths('@tensorflow/tfjs') ?? [];
}
