"""Images: taken in safely, and the text in them read for engines that do not see."""
