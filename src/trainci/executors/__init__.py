"""What starts a test and ends all of it. ``base`` says what an executor promises."""
