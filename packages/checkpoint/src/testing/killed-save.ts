// For tests, a program of its own: saves one checkpoint and kills itself before the operation given, or prints how many
// operations the save takes. Arguments: folder, step, value, kill at (0 for never).
import { saveCheckpoint } from '../index.js';
import { installFaultPoints } from './fault-points.js';
import { sampleFiles } from './sample-tensors.js';

const [folder, step, value, killAt] = process.argv.slice(2);
const remove = await installFaultPoints(async (_operation, index, halfDone) => {
  if (index !== Number(killAt)) return;
  await halfDone?.();
  process.kill(process.pid, 'SIGKILL');
});
await saveCheckpoint(folder, {
  step: Number(step),
  files: sampleFiles(Number(value)),
  state: { value: Number(value) },
  keepLast: 1,
});
process.stdout.write(String(remove()));
