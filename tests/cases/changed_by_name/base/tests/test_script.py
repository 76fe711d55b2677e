import subprocess

NUM_GPUS = 0

if __name__ == "__main__":
    subprocess.run(["bash", "scripts/run.sh"], check=True)
