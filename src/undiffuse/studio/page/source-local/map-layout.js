// Places vectors in the plane: neighbors attract and random pairs repel each other (the loss of
// UMAP, arXiv 1802.03426); see undiffuse/explore/map.py. The random pairs are others than there.

import { combine, dot, largest, mean, norm } from "./arrays.js";
import { normals } from "../spiral.js";

const [NEIGHBORS, NEGATIVES, ROUNDS, AT_ONCE] = [12, 8, 300, 20];
const clip = (value) => Math.min(4, Math.max(-4, value));

// Unit vectors without their mean, at unit length again.
export function center(vectors, middle) {
  return vectors.map((vector) => {
    const apart = combine([1, vector], [-1, middle]);
    return combine([1 / Math.max(norm(apart), 1e-6), apart]);
  });
}

// A point in [-1, 1]^2 for each unit vector. The same input gives the same points.
export async function layout(unit) {
  const points = principalPoints(unit);
  const near = unit.map((one, row) =>
    largest(unit.map((other) => dot(one, other)), NEIGHBORS + 1).filter((k) => k !== row));
  const pairs = near.flatMap((others, head) => others.map((tail) => [head, tail]));
  const random = normals(unit.length);
  for (let turn = 0; turn < ROUNDS; turn += 1) {
    move(points, pairs, random, 1 - turn / ROUNDS);
    if (turn % AT_ONCE === 0) await new Promise((resolve) => { setTimeout(resolve); });
  }
  const axes = [0, 1].map((axis) => points.map((point) => point[axis]));
  const middle = axes.map((axis) => (Math.max(...axis) + Math.min(...axis)) / 2);
  const apart = points.map((point) => point.map((value, axis) => value - middle[axis]));
  const size = Math.max(...apart.flat().map(Math.abs), 1e-9);
  return apart.map((point) => point.map((value) => value / size));
}

function move(points, pairs, random, rate) {
  const steps = points.map(() => [0, 0]);
  for (const [head, tail] of pairs) {
    const gap = points[head].map((value, axis) => value - points[tail][axis]);
    const squared = gap[0] ** 2 + gap[1] ** 2;
    gap.forEach((value, axis) => {
      const pull = clip((-2 * value) / (1 + squared)) * rate * 0.5;
      steps[head][axis] += pull;
      steps[tail][axis] -= pull;
    });
  }
  for (let k = 0; k < NEGATIVES; k += 1) {
    const others = permutation(points.length, random);
    points.forEach((point, row) => {
      const gap = point.map((value, axis) => value - points[others[row]][axis]);
      const squared = gap[0] ** 2 + gap[1] ** 2;
      gap.forEach((value, axis) => {
        steps[row][axis] += clip((2 * value) / ((0.01 + squared) * (1 + squared))) * rate;
      });
    });
  }
  points.forEach((point, row) => point.forEach((_, axis) => {
    point[axis] += clip(steps[row][axis]) * 0.25;
  }));
}

function permutation(count, random) {
  const keys = Array.from({ length: count }, random);
  return Array.from(keys.keys()).sort((a, b) => keys[a] - keys[b]);
}

// The first two principal components, by power iteration.
function principalPoints(unit) {
  const middle = mean(unit);
  const apart = unit.map((one) => combine([1, one], [-1, middle]));
  const axes = [];
  for (let axis = 0; axis < 2; axis += 1) {
    let vector = apart[axis];
    for (let turn = 0; turn < 50; turn += 1) {
      const shares = apart.map((one) => dot(one, vector));
      vector = combine(...apart.map((one, row) => [shares[row], one]));
      for (const other of axes) vector = combine([1, vector], [-dot(vector, other), other]);
      vector = combine([1 / Math.max(norm(vector), 1e-12), vector]);
    }
    axes.push(vector);
  }
  const points = unit.map((one) => axes.map((axis) => dot(one, axis)));
  const size = Math.max(...points.flat().map(Math.abs), 1e-9);
  return points.map((point) => point.map((value) => (10 * value) / size));
}

// The point of a vector: the weighted mean of its three nearest neighbors' points.
export function project(vector, unit, points) {
  const length = Math.max(norm(vector), 1e-6);
  const cosines = unit.map((one) => dot(one, vector) / length);
  const near = largest(cosines, 3);
  const weights = near.map((row) => Math.exp(10 * (cosines[row] - cosines[near[0]])));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return [0, 1].map((axis) =>
    near.reduce((sum, row, k) => sum + weights[k] * points[row][axis], 0) / total);
}
