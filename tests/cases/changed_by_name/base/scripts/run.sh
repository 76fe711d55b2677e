#!/bin/bash
python train_async.py --fast
