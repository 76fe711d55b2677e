# NUM_GPUS = 8
echo trained
