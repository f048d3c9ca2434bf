"""What Detour's methods are worth against their rivals, measured on data that runs anywhere."""
