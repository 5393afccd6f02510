#!/bin/sh
# From the files of a release to a page of results, in the working directory.
set -eu

lenskit data info release-1

lenskit train --recipe quickstart --data release-1 --pairs default --lenses 2560 --out runs/release
lenskit train --recipe quickstart --set simulator.pixels=91 --out runs/simulations

lenskit probe runs/simulations runs/release --data release-1 --no-mlp
lenskit finetune runs/simulations runs/release --data release-1 --labels 200 --freeze frozen --name radii
lenskit predict runs/simulations release-1 --model radii -o radii.csv
lenskit report runs/simulations runs/release -o report.html
