// N ranks train like one, the families whose losses SLIP has.
import { trainsAlike } from './ranks-suite.js';

for (const family of ['CLIP', 'SIMCLR']) trainsAlike(family, [1, 3, 4]);
