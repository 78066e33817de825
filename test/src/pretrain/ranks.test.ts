// N ranks train like one: SLIP, which has the losses of both others; those are among the long tests.
import { trainsAlike } from './ranks-suite.js';

trainsAlike('SLIP', [1, 3, 4]);
